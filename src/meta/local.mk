# sources of src/meta

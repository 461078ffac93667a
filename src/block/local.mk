# sources of src/block

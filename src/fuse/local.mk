# sources of src/fuse

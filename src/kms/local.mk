# sources of src/kms

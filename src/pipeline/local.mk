# sources of src/pipeline

"""The tiny models of the embedded profile: tokenizer, corpus and pretraining from scratch (recipe ``tiny_models``)."""

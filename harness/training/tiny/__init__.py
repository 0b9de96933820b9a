"""The tiny models of the embedded profile: corpus and pretraining from scratch (recipe ``tiny_models``)."""

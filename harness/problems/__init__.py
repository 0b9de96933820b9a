"""Problems: the task registry, data loading and the procedural families of the embedded suite."""

"""The distribution of several people's votes over the classes of a clip."""

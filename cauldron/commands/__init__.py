"""The commands of `cauldron`. Each parses, calls one function of the library, and prints."""

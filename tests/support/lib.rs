//! Lab: real binaries, port 0, temporary folders.

//! Certificate authorities, the three leaf profiles, certificates.
#![forbid(unsafe_code)]

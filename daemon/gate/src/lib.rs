//! Faces the network: no rights, no policy, no rhai; passes sealed bytes on.
#![forbid(unsafe_code)]

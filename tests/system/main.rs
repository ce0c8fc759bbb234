//! The promises, each in a file of its own, against the real programs in a throw-away overlay.

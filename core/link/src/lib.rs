//! How bytes travel: quinn and rustls, once; identity, dial, accept, typed streams.
#![forbid(unsafe_code)]

//! Who said so: seals, signers, keys, catalogue, sealed secrets, hash chains. Yields Verified<T>.
#![forbid(unsafe_code)]

//! What agents can do, on one handle: order, dispatch, follow, records, catalogue, enrol.
#![forbid(unsafe_code)]

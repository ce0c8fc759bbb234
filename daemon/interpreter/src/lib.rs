//! One per run: reads script text, holds no rights at all.
#![forbid(unsafe_code)]

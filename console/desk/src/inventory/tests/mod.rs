//! A home that was really set up, and what is found in it.

mod find;
mod home;

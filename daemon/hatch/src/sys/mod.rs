//! The raw calls that have no safe wrapper. Each block says why it is sound; nothing else in this
//! crate may be unsafe.

mod inherit;
mod process;
mod signals;
mod spawn;

pub use inherit::{InheritError, inherited};
pub(crate) use process::{
    become_user, close_others, give_back_large_blocks, ignore_file_size_signal, landlock_abi,
    no_groups, takes_filters,
};
pub(crate) use signals::signal_fd;
pub(crate) use spawn::start;

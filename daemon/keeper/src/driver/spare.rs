//! The two processes that wait for a look, and their folder. Never decides when: the core does.

use hatch::cgroup::Folder;
use hatch::spawn::Child;
use protocol::error_chain::ErrorChain;

use super::World;
use crate::spawn::Run;

/// Both, told to prepare and nothing else.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) children: Run,
    pub(super) folder: Option<Folder>,
}

impl Spare {
    fn both(&self) -> [&Child; 2] {
        [&self.children.executor.child, &self.children.interpreter.child]
    }

    /// Ends both and whatever is in their folder.
    fn end(self) {
        for child in self.both() {
            if let Err(error) = child.kill().and_then(|()| child.wait().map(drop)) {
                tracing::error!("{}", ErrorChain(&error));
            }
        }
        if let Some(folder) = &self.folder
            && let Err(error) = folder.kill().and_then(|()| folder.remove())
        {
            tracing::error!("{}", ErrorChain(&error));
        }
    }
}

impl World {
    /// The spare, for one look, where both of it still live.
    pub(super) fn take_spare(&mut self) -> Option<Spare> {
        let spare = self.spare.take()?;
        if spare.both().into_iter().all(|child| matches!(child.try_wait(), Ok(None))) {
            return Some(spare);
        }
        tracing::warn!("processes that waited for a look had ended");
        spare.end();
        None
    }

    pub(super) fn drop_spare(&mut self) {
        if let Some(spare) = self.spare.take() {
            spare.end();
        }
    }
}

//! Records: the endpoint's signed account of a run. Never written twice for one run.

mod effects;

pub use effects::EffectsSummary;

//! The simulation: the core in a fake world, killed after every effect, fed replays and garbage.
//! Never sleeps, never touches a machine; the same seed is the same day.

#[cfg(test)]
#[path = "support/desk.rs"]
mod desk;
#[cfg(test)]
#[path = "support/mem_disk.rs"]
mod mem_disk;
#[cfg(test)]
#[path = "support/screen.rs"]
mod screen;
#[cfg(test)]
#[path = "support/world.rs"]
mod world;

#[cfg(test)]
#[path = "../../../tests/sim/asking.rs"]
mod asking;
#[cfg(test)]
#[path = "../../../tests/sim/behind.rs"]
mod behind;
#[cfg(test)]
#[path = "../../../tests/sim/chaos.rs"]
mod chaos;
#[cfg(test)]
#[path = "../../../tests/sim/edges.rs"]
mod edges;
#[cfg(test)]
#[path = "../../../tests/sim/glass.rs"]
mod glass;
#[cfg(test)]
#[path = "../../../tests/sim/identity.rs"]
mod identity;
#[cfg(test)]
#[path = "../../../tests/sim/kill_points.rs"]
mod kill_points;
#[cfg(test)]
#[path = "../../../tests/sim/narrowing.rs"]
mod narrowing;
#[cfg(test)]
#[path = "../../../tests/sim/refusals.rs"]
mod refusals;
#[cfg(test)]
#[path = "../../../tests/sim/runs.rs"]
mod runs;
#[cfg(test)]
#[path = "../../../tests/sim/session_keys.rs"]
mod session_keys;
#[cfg(test)]
#[path = "../../../tests/sim/sessions.rs"]
mod sessions;

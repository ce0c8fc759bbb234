//! The program `gate` with a keeper's double at its pipes and real QUIC at its door.

#[cfg(test)]
mod desk;
#[cfg(test)]
mod errands;
#[cfg(test)]
mod flood;
#[cfg(test)]
mod packets;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod support;

//! Trust, from outside: what opens, what does not, what survives.

#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod forge;
#[cfg(test)]
mod guards;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod listings;
#[cfg(test)]
mod made;
#[cfg(test)]
mod oddities;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod seals;
#[cfg(test)]
mod updates;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod withdrawn;

//! Trust, from outside: what opens, what does not, what survives.

#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod guards;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod seals;
#[cfg(test)]
mod updates;

//! What this node says about itself: gathered from the machine, the image store and the provider, and told to the
//! API server ([`facts`]) and to admission ([`state`]).

mod facts;
mod isolation;
mod reserved;
mod state;

pub(crate) use facts::FactsSource;
pub(crate) use isolation::isolation;
pub(crate) use state::{derive, follow};

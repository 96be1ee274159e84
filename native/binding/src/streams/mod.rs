mod arrivals;
mod connection;
mod judging;
mod news;
mod session;
mod socket;
mod state;
mod thread;
mod turn;

pub use session::Session;
pub use thread::run;

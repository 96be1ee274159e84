mod arrivals;
mod connection;
mod doors;
mod gathering;
mod heads;
mod judging;
mod news;
mod socket;
mod state;
mod thread;
mod turn;

pub use thread::run;

//! Cases of whole requests, through an HTTP adapter and `SessionManager`.

mod app;
mod browser;
mod client;
mod cookies;
mod devices;
mod entropy;
mod events;
mod exchange;
mod faulty_store;
mod fixation;
mod jar;
mod lifetime;
mod limits;
mod node;
mod outage;
mod races;
mod recorder;
mod refresh;
mod refresh_races;
mod refresh_reuse;
mod renewal;
mod responses;
mod secrets;
mod stepup;
mod support;
mod table;
mod values;

pub(crate) use table::REQUEST_CASES;

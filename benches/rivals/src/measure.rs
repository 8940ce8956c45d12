//! Measures the subjects of a case in rounds that take turns.

use crate::case::{Case, Selection, Servers, Side};
use crate::client::{Client, round};
use crate::cpu::Server;
use crate::sample::{Length, Sample, median};

/// How many clients send requests at once, from one thread.
const CLIENTS: usize = 64;

/// The sample of one subject.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its name.
    pub subject: &'static str,
    /// Whose it is.
    pub side: Side,
    /// The medians.
    pub sample: Sample,
}

/// Measures a case once. Without its server, that is nothing.
pub async fn measure(case: Case, servers: &Servers, selection: Selection, length: Length) -> Vec<Measured> {
    let subjects = case.subjects(servers, selection).await;
    let server = match case.server(servers) {
        Some(url) => Some(Server::connect(url).await),
        None => None,
    };
    let mut clients = Vec::new();
    for subject in &subjects {
        let mut own = Vec::new();
        for _ in 0..CLIENTS {
            own.push(Client::new(&subject.app, case.request).await);
        }
        let (_, own) = round(&subject.app, case.request, own, length.round / 4, server.as_ref()).await;
        clients.push(own);
    }
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); subjects.len()];
    for turn in 0..length.rounds {
        for step in 0..subjects.len() {
            // Another one goes first in each round.
            let at = (turn + step) % subjects.len();
            let own = std::mem::take(&mut clients[at]);
            let (sample, own) = round(&subjects[at].app, case.request, own, length.round, server.as_ref()).await;
            clients[at] = own;
            samples[at].push(sample);
        }
    }
    let mut floor = 0;
    let measured = subjects.iter().enumerate().map(|(at, subject)| {
        if subject.side == Side::Floor {
            floor = at;
        }
        let ratio = |(sample, floor): (&Sample, &Sample)| sample.ops_per_s / floor.ops_per_s;
        let of = |field: fn(&Sample) -> f64| median(samples[at].iter().map(field).collect());
        let sample = Sample {
            ops_per_s: of(|sample| sample.ops_per_s),
            ratio_to_floor: median(samples[at].iter().zip(&samples[floor]).map(ratio).collect()),
            p50_us: of(|sample| sample.p50_us),
            client_us: of(|sample| sample.client_us),
            server_us: of(|sample| sample.server_us),
        };
        Measured { subject: subject.name, side: subject.side, sample }
    });
    measured.collect()
}

//! `kill -9` under load.

use std::collections::HashMap;
use std::io::{BufRead as _, Read as _};

use session_core::{Entropy as _, OsEntropy, SessionId};
use session_testbed::records::load;

use crate::parent::{Folder, Process, open, runtime};

/// Every login that was acknowledged is there, and every logout that was acknowledged stays one.
pub(crate) fn a_killed_process_loses_nothing_acknowledged() {
    let rounds = std::env::var("SESSION_SQLITE_CRASHES").map_or(5, |rounds| rounds.parse::<u32>().unwrap());
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    let (mut last, mut logins, mut logouts) = (HashMap::<SessionId, char>::new(), 0, 0);
    for _ in 0..rounds {
        let mut random = [0; 2];
        OsEntropy.fill(&mut random).unwrap();
        // After 200 to 2200 lines, wherever its tasks are then.
        let lines = 200 + usize::from(u16::from_be_bytes(random)) % 2000;
        let mut process = Process::start("load", &path);
        let mut said = Vec::new();
        for _ in 0..lines {
            said.push(process.line());
        }
        process.kill();
        said.extend(process.output.by_ref().lines().map(Result::unwrap));
        for line in said {
            let (mark, id) = line.split_at(1);
            last.insert(id.parse().unwrap(), mark.chars().next().unwrap());
            logins += u32::from(mark == "+");
            logouts += u32::from(mark == "-");
        }
        runtime().block_on(async {
            let store = open(&path).await;
            for (id, mark) in &last {
                let is_there = load(&store, id).await.is_some();
                match mark {
                    '+' => assert!(is_there, "a login that was acknowledged is gone"),
                    '-' => assert!(!is_there, "a logout that was acknowledged was undone"),
                    _ => {}
                }
            }
            store.close().await;
        });
    }
    println!("{rounds} kills: {logins} logins and {logouts} logouts were acknowledged");
}

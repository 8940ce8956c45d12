//! What a store says of its servers, to whoever operates them: [`Inspection`].

/// What a store found out about its servers and about what it keeps there: for an operator, not for a decision. Texts are
/// those of the server and of the backend; there is no secret in them, and nothing of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The server; in a Cluster, each primary.
    pub servers: Vec<ServerInfo>,
    /// Whether what the store needs on the server is there.
    pub schema: SchemaState,
    /// What to look after: a setting by which sessions can get lost, memory that runs out. Each says what to do.
    pub warnings: Vec<String>,
}

/// One server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// What it is: `Redis`, `PostgreSQL`.
    pub software: String,
    /// Its version; empty if it does not say.
    pub version: String,
    /// What else it says, by name: memory, settings.
    pub facts: Vec<(&'static str, String)>,
}

impl ServerInfo {
    /// A server of which nothing else is known.
    #[must_use]
    pub fn new(software: impl Into<String>, version: impl Into<String>) -> Self {
        Self { software: software.into(), version: version.into(), facts: Vec::new() }
    }
}

/// Whether the tables and functions of a store are on its server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaState {
    /// The store needs none.
    #[default]
    Unneeded,
    /// Nothing is there: another application, another database, or one that was never started.
    Missing,
    /// These steps are missing.
    Outdated(Vec<String>),
    /// All is there.
    Current,
    /// The tables are there. Who applied the steps did not note which.
    Unknown,
}

//! The command line: [`Args`].

use std::num::NonZeroU64;

use clap::{ArgGroup, Parser, Subcommand, ValueEnum};
use session_core::{Namespace, UserId};

use crate::moment::Moment;

/// Look after the sessions of an application: how many, whose, since when; end them; check their store.
///
/// Shows no value of a session, no token, and no password. Makes no file, table or schema.
#[derive(Debug, Parser)]
#[command(
    name = "session-admin",
    version,
    arg_required_else_help = true,
    after_help = "Moments are a time ago (30d, 12h, 90m) or a date (2026-03-01, 2026-03-01T12:00:00Z), in UTC.\n\
        Exit codes: 0 done; 1 failed, the text says why; 2 not understood, nothing was done.\n\n\
        Examples:\n  \
        export SESSION_STORE_URL=postgres://app:PASSWORD@db.internal/app SESSION_NAMESPACE=shop\n  \
        session-admin check\n  \
        session-admin list --user alice\n  \
        session-admin list --json --seen-before 30d | jq -r .user | sort | uniq -c\n  \
        session-admin revoke --user-agent BadBot --dry-run"
)]
pub(crate) struct Args {
    /// Where the sessions are: redis://, redis+sentinel://, redis+cluster:// (rediss with TLS), postgres://, sqlite:PATH.
    ///
    /// Better in the environment than here: every user of a machine may see the command lines of all.
    #[arg(
        long,
        global = true,
        help_heading = "Store",
        value_name = "URL",
        env = "SESSION_STORE_URL",
        hide_env_values = true
    )]
    pub(crate) store: Option<String>,
    /// The name under which the application keeps its sessions there.
    #[arg(long, global = true, help_heading = "Store", value_name = "NAME", env = "SESSION_NAMESPACE")]
    pub(crate) namespace: Option<Namespace>,
    /// Print JSON: an object, or one on each line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Do not rest between pages: where nobody uses the store meanwhile.
    #[arg(long, global = true)]
    pub(crate) fast: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// How many sessions are live: exact, or an estimate where counting would take long.
    Count(Count),
    /// Sessions, those that match all filters; without filters, all.
    List(List),
    /// One session: all but its values, of which names and sizes are shown.
    Show(Show),
    /// End sessions: by id, of a user, or those that match all filters.
    Revoke(Revoke),
    /// Move all sessions to another store while the application goes on, which must run with both stores already.
    Copy(Copy),
    /// Delete what has expired, in small batches, until nothing is left. Redis does it by itself.
    Sweep(Sweep),
    /// Whether the store is as it should be: version, settings, migrations, how fast it answers, how many sessions.
    Check,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Count {
    /// Count each kind, by reading all sessions.
    #[arg(long)]
    pub(crate) by: Option<By>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum By {
    /// Users and visitors, with a cookie or a refresh token.
    Kind,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// Show as many at most.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroU64>,
}

/// Sessions that match all of them.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct Filters {
    /// Of this user.
    #[arg(long, value_name = "USER", value_parser = user, allow_hyphen_values = true)]
    pub(crate) user: Option<UserId>,
    /// Of users: somebody is logged in.
    #[arg(long, conflicts_with = "visitors")]
    pub(crate) users: bool,
    /// Of visitors: nobody is logged in.
    #[arg(long, conflicts_with = "user")]
    pub(crate) visitors: bool,
    /// With a token of this kind.
    #[arg(long, value_enum)]
    pub(crate) kind: Option<Kind>,
    /// Not used since then. The application notes activity at intervals, by default of a minute.
    #[arg(long, visible_alias = "seen-before", value_name = "MOMENT")]
    pub(crate) idle_since: Option<Moment>,
    /// Begun before then.
    #[arg(long, value_name = "MOMENT")]
    pub(crate) created_before: Option<Moment>,
    /// Whose User-Agent contains this, in upper or lower case.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) user_agent: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A session cookie.
    Cookie,
    /// A refresh token.
    Refresh,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The id, as `list` shows it.
    // As text: clap quotes what it does not understand, and that may be a token, pasted by mistake.
    // One id of 64 begins with a hyphen, and so may names.
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    pub(crate) id: String,
}

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "session-admin revoke <--id <ID>... | --all | FILTERS> [--dry-run | --yes]",
    group = ArgGroup::new("which").required(true).multiple(true).args(
    ["id", "all", "user", "users", "visitors", "kind", "idle_since", "created_before", "user_agent"]
)
)]
pub(crate) struct Revoke {
    /// This session; may be given several times.
    #[arg(
        long,
        value_name = "ID",
        allow_hyphen_values = true,
        conflicts_with_all = ["all", "user", "users", "visitors", "kind", "idle_since", "created_before", "user_agent"]
    )]
    pub(crate) id: Vec<String>,
    /// Every session of the application.
    #[arg(
        long,
        conflicts_with_all = ["user", "users", "visitors", "kind", "idle_since", "created_before", "user_agent"]
    )]
    pub(crate) all: bool,
    /// Show what would end, and end nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask before several sessions end.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Do not tell caches of the application (Redis): one that follows the changes goes on with a revoked session, for up to its
    /// `max_age`. Only where no node has such a cache, and this user of the server may not publish.
    #[arg(long)]
    pub(crate) no_publish_changes: bool,
    #[command(flatten)]
    pub(crate) filters: Filters,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "First every node is stopped, and started again with MovingStore::new(old, new); then this moves what nobody uses; then \
        the nodes can do with the new store alone. Nothing is lost if it is interrupted: run it again. The chapter Moving of the manual \
        has the steps."
)]
pub(crate) struct Copy {
    /// Where to: the URL of the new store, which the application has made already (its migrations).
    #[arg(long, value_name = "URL", env = "SESSION_NEW_STORE_URL", hide_env_values = true)]
    pub(crate) to: Option<String>,
    /// The name under which they are kept there. Without it, the same.
    #[arg(long, value_name = "NAME")]
    pub(crate) to_namespace: Option<Namespace>,
    /// Count what would move, and move nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask: every node runs with both stores.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Sweep {
    /// Count what would be deleted, and delete nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

fn user(text: &str) -> Result<UserId, session_core::UserIdError> {
    UserId::new(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use clap::{CommandFactory as _, Parser as _};

    use super::{Args, Command};

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
    /// Ids, names of users and texts are what they are, also where they look like an option: `-h`, `-V`, `--`.
    #[test]
    fn what_is_named_may_begin_with_a_hyphen() {
        for text in
            ["-E54-vXn65XwG7Q1fBiCgA", "-hE54-vXn65XwG7Q1fBiCg", "-VE54-vXn65XwG7Q1fBiC", "--E54-vXn65XwG7Q1fBiCg"]
        {
            for line in [["show", text, "--json"], ["show", "--json", text]] {
                let Command::Show(show) = parsed(&line) else { panic!("{line:?}") };
                assert_eq!(show.id, text);
            }
            let Command::Revoke(revoke) = parsed(&["revoke", "--id", text, "--json", "--id", text, "--yes"]) else {
                panic!("{text}")
            };
            assert_eq!((revoke.id, revoke.yes), (vec![text.to_owned(); 2], true));
            let Command::List(list) = parsed(&["list", "--user", text, "--user-agent", text, "--json"]) else {
                panic!("{text}")
            };
            let filters = (list.filters.user.unwrap(), list.filters.user_agent.unwrap());
            assert_eq!((filters.0.as_str(), &*filters.1), (text, text));
        }
    }

    fn parsed(arguments: &[&str]) -> Command {
        let args = Args::try_parse_from(["session-admin"].iter().chain(arguments)).unwrap();
        assert_eq!(args.json, arguments.contains(&"--json"));
        args.command
    }
}

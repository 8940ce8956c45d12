//! `cases!`: how cases are declared.

/// Declares a table of cases. The doc comment of a case is its summary.
///
/// ```text
/// cases! {
///     pub(super) const CASES: TestStore;
///
///     /// A deleted session stays deleted: `update` never inserts.
///     "update/never-resurrects" [] catches [UpdateInserts] => never_resurrects;
///     /// Two nodes see each other's writes.
///     "nodes/see-each-other" [Shared] catches [HandleCaches] => see_each_other;
///     /// A restart undoes nothing.
///     "restart/undoes-nothing" [Restart] catches [service RestartForgetsSessions] => undoes_nothing;
///     /// Random calls can be explained by the contract.
///     "history/of-a-session" [] catches at least [UpdateNotAtomic] => of_a_session;
/// }
/// ```
/// Cases in a table of `TestStore` are functions of a [`TestStore`](crate::test_store::TestStore); those in a table
/// without a type are functions of an [`Env`](crate::Env).
///
/// In brackets stands what a case needs: `Durable`, `Shared`, or the name of a [`Disruption`](crate::Disruption). In
/// `catches`, which only request cases may omit, stand [faults](crate::Fault); `service` marks those of disrupted
/// servers. `at least` marks a [random](crate::Case::random) case.
macro_rules! cases {
    ($visibility:vis const $table:ident: TestStore; $($cases:tt)+) => {
        $crate::table::cases! { @of TestStore; $visibility $table; $($cases)+ }
    };
    ($visibility:vis const $table:ident; $($cases:tt)+) => {
        $crate::table::cases! { @of Env; $visibility $table; $($cases)+ }
    };
    (
        @of $subject:ident; $visibility:vis $table:ident;
        $(
            $(#[doc = $line:literal])+
            $id:literal [$($need:ident),*]
                $(catches $(at $least:ident)? [$($kind:ident $($name:ident)?),* $(,)?])? => $run:expr;
        )+
    ) => {
        $visibility const $table: &[$crate::Case] = &[
            $($crate::Case {
                id: $id,
                summary: concat!($($line),+).trim_ascii(),
                needs: &[$($crate::table::need!($need)),*],
                catches: &[$($($crate::table::fault!($kind $($name)?)),*)?],
                random: !concat!($($(stringify!($least))?)?).is_empty(),
                run: $crate::table::run!($subject $run),
            }),+
        ];
    };
}

/// How `cases!` runs a case.
macro_rules! run {
    (TestStore $run:expr) => {
        |env| Box::pin(async move { $run($crate::test_store::TestStore::open(env).await?).await })
    };
    (Env $run:expr) => {
        |env| Box::pin($run(env))
    };
}

/// A fault, as `cases!` spells it.
macro_rules! fault {
    (service $name:ident) => {
        $crate::Fault::$name
    };
    ($name:ident) => {
        $crate::Fault::$name
    };
}

/// What a case needs, as `cases!` spells it.
macro_rules! need {
    (Durable) => {
        $crate::Need::Durable
    };
    (Shared) => {
        $crate::Need::Shared
    };
    ($disruption:ident) => {
        $crate::Need::Disruption($crate::Disruption::$disruption)
    };
}

pub(crate) use {cases, fault, need, run};

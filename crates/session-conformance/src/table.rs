//! `cases!`: the table of cases.

/// Declares a table of cases. The doc comment of a case is its summary.
///
/// ```text
/// cases! {
///     pub(crate) const STORE_CASES;
///     /// A deleted session stays deleted: `update` never inserts.
///     "update/never-resurrects" [] catches [UpdateInserts] => update::never_resurrects;
///     /// Two nodes see each other's writes.
///     "nodes/see-each-other" [Shared] catches [HandleCaches] => nodes::see_each_other;
/// }
/// ```
/// In `catches`, which may be left out of a request case, a bare name is a [`StoreFault`](crate::StoreFault),
/// `service Name` a [`ServiceFault`](crate::ServiceFault). In what a case needs, `suffers Name` is a
/// [`Disturbance`](crate::Disturbance).
macro_rules! cases {
    (
        $visibility:vis const $table:ident;
        $(
            $(#[doc = $line:literal])+
            $id:literal [$($need:ident $($which:ident)?),*]
                $(catches [$($kind:ident $($name:ident)?),* $(,)?])? => $run:path;
        )+
    ) => {
        $visibility const $table: &[$crate::Case] = &[
            $($crate::Case {
                id: $id,
                summary: concat!($($line),+).trim_ascii(),
                needs: &[$($crate::table::need!($need $($which)?)),*],
                catches: &[$($($crate::table::fault!($kind $($name)?)),*)?],
                run: |env| Box::pin($run(env)),
            }),+
        ];
    };
}

/// A fault, as `cases!` spells it.
macro_rules! fault {
    (service $name:ident) => {
        $crate::Fault::Service($crate::ServiceFault::$name)
    };
    ($name:ident) => {
        $crate::Fault::Store($crate::StoreFault::$name)
    };
}

/// What a case needs, as `cases!` spells it.
macro_rules! need {
    (suffers $name:ident) => {
        $crate::Need::Disturbance($crate::Disturbance::$name)
    };
    ($name:ident) => {
        $crate::Need::$name
    };
}

pub(crate) use {cases, fault, need};

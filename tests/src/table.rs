//! Tables of a report, as aligned text and as Markdown.

use clap::ValueEnum;

/// How a report is printed to standard output: the value of `--format`.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Format {
    /// Tables to read, with explanations.
    #[default]
    Text,
    /// Markdown tables, for documentation.
    Md,
    /// The report as JSON, and nothing else.
    Json,
}

/// Rows of cells under a header, all with the same number of cells.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(header: Vec<String>) -> Self {
        Self { rows: vec![header] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Aligned columns, two spaces apart.
    #[must_use]
    pub fn text(&self) -> String {
        let widths = self.widths();
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            cells.join("  ").trim_end().to_owned() + "\n"
        };
        self.rows.iter().map(line).collect()
    }

    /// A Markdown table, aligned to be readable as text too.
    #[must_use]
    pub fn markdown(&self) -> String {
        let widths = self.widths();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("| {:width$} ", escape(cell)));
            cells.collect::<String>() + "|\n"
        };
        let rule = widths.iter().map(|width| format!("|{}", "-".repeat(width + 2))).collect::<String>() + "|\n";
        let mut lines: Vec<String> = self.rows.iter().map(line).collect();
        lines.insert(1, rule);
        lines.concat()
    }

    /// The width of each column, in characters.
    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.rows.first().map_or(0, Vec::len)];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(escape(cell).chars().count());
            }
        }
        widths
    }
}

/// A bar would end the cell.
fn escape(cell: &str) -> String {
    cell.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::Table;

    fn table() -> Table {
        let cells = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let mut table = Table::new(cells(["case", "moka"]));
        table.row(cells(["create/first", "pass"]));
        table.row(cells(["a|b", "n/a"]));
        table
    }

    #[test]
    fn text_is_aligned_without_trailing_space() {
        assert_eq!(table().text(), "case          moka\ncreate/first  pass\na|b           n/a\n");
    }

    #[test]
    fn markdown_escapes_bars() {
        assert_eq!(
            table().markdown(),
            "| case         | moka |\n|--------------|------|\n| create/first | pass |\n| a\\|b         | n/a  |\n"
        );
    }
}

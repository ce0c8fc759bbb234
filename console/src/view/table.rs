//! Aligned columns with a heading line, as in `salve endpoints list`.

use crate::view::safe;

/// Rows of text in columns as wide as their widest cell, two spaces apart.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a heading.
    #[must_use]
    pub fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned).to_vec()] }
    }
    /// A table without one.
    #[must_use]
    pub fn bare() -> Self {
        Self { rows: Vec::new() }
    }
    /// Adds a row; cells are escaped here, an empty cell shows as `-`.
    pub fn row<const N: usize>(&mut self, cells: [&str; N]) {
        let cell = |c: &str| if c.is_empty() { "-".to_owned() } else { safe(c) };
        self.rows.push(cells.map(cell).to_vec());
    }
    /// The lines, each ended by a break, without trailing spaces.
    #[must_use]
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |i: usize| {
            self.rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_cells_are_escaped() {
        let mut table = Table::new(["NAME", "SEEN"]);
        table.row(["lt-4411", "now"]);
        table.row(["x\n", ""]);
        assert_eq!(table.render(), "NAME     SEEN\nlt-4411  now\nx\\u{a}   -\n");
    }
}

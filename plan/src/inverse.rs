//! Lists of blocks, asked the other way round.

use crate::Rows;

/// For each block of a source the rows that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inverse {
    /// The blocks that are named, rising, if they are few among those of the source; else every block has its place.
    named: Option<Box<[u64]>>,
    rows: Rows,
}

/// Blocks of a source for each entry of its lists up to which every block has a place of its own.
const DENSE_RATIO: u64 = 4;

impl Inverse {
    pub(crate) fn new(rows: &Rows, source_count: u64) -> Self {
        let named_count = rows.blocks().len() as u64;
        if source_count / DENSE_RATIO <= named_count {
            Self::dense(rows, source_count as usize)
        } else {
            Self::sparse(rows)
        }
    }

    /// The rows that name block `source`, rising.
    pub fn row(&self, source: u64) -> &[u64] {
        match &self.named {
            None => self.rows.row(source),
            Some(named) => match named.binary_search(&source) {
                Ok(place) => self.rows.row(place as u64),
                Err(_) => &[],
            },
        }
    }

    /// Counts, then puts each row where it belongs.
    fn dense(rows: &Rows, count: usize) -> Self {
        let mut offsets = vec![0; count + 1];
        for &block in rows.blocks() {
            offsets[block as usize + 1] += 1;
        }
        for at in 0..count {
            offsets[at + 1] += offsets[at];
        }
        let mut next = offsets.clone();
        let mut found = vec![0; rows.blocks().len()];
        for row in 0..rows.len() as u64 {
            for &block in rows.row(row) {
                let place = &mut next[block as usize];
                found[*place as usize] = row;
                *place += 1;
            }
        }
        Self {
            named: None,
            rows: Rows::from_parts(offsets, found).expect("counted above"),
        }
    }

    fn sparse(rows: &Rows) -> Self {
        let of_row = |row: u64| rows.row(row).iter().map(move |&block| (block, row));
        let mut pairs: Vec<(u64, u64)> = (0..rows.len() as u64).flat_map(of_row).collect();
        pairs.sort_unstable();
        let by_block = || pairs.chunk_by(|a, b| a.0 == b.0);
        let lists = by_block().map(|pairs| pairs.iter().map(|&(_, row)| row).collect::<Vec<_>>());
        Self {
            named: Some(by_block().map(|pairs| pairs[0].0).collect()),
            rows: Rows::new(lists),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Inverse;
    use crate::Rows;

    #[test]
    fn few_blocks_of_very_many_take_memory_for_the_few() {
        let rows = Rows::new([vec![7, 1 << 40], vec![], vec![1 << 40]]);
        let inverse = Inverse::new(&rows, 1 << 41);
        assert_eq!(inverse.row(7), [0]);
        assert_eq!(inverse.row(1 << 40), [0, 2]);
        assert_eq!(inverse.row(8), [0; 0]);
    }

    #[test]
    fn both_forms_answer_alike() {
        let rows = Rows::new([vec![3, 0], vec![1], vec![0, 1, 3]]);
        let (dense, sparse) = (Inverse::dense(&rows, 5), Inverse::sparse(&rows));
        for source in 0..5 {
            assert_eq!(dense.row(source), sparse.row(source));
        }
        assert_eq!(dense.row(0), [0, 2]);
    }
}

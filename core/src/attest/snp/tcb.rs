//! Layouts of TCB_VERSION (`protocols/attestation.md` 1.2).

use crate::claims::{Product, TcbParts};

/// Takes a TCB version apart; `None` when a reserved byte is set.
///
/// | byte | 0 | 1 | 2 | 3 | 4 to 5 | 6 | 7 |
/// | --- | --- | --- | --- | --- | --- | --- | --- |
/// | Milan, Genoa | boot loader | TEE | 0 | 0 | 0 | SNP | microcode |
/// | Turin | FMC | boot loader | TEE | SNP | 0 | 0 | microcode |
pub(super) const fn parts(product: Product, bytes: &[u8; 8]) -> Option<TcbParts> {
    match (product, *bytes) {
        (Product::Milan | Product::Genoa, [bootloader, tee, 0, 0, 0, 0, snp, microcode]) => {
            Some(TcbParts { fmc: 0, bootloader, tee, snp, microcode })
        }
        (Product::Turin, [fmc, bootloader, tee, snp, 0, 0, 0, microcode]) => {
            Some(TcbParts { fmc, bootloader, tee, snp, microcode })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_place() {
        for product in Product::ALL {
            let reserved: &[usize] = if product == Product::Turin { &[4, 5, 6] } else { &[2, 3, 4, 5] };
            for place in 0..8 {
                let mut bytes = [0; 8];
                bytes[place] = 7;
                let found = parts(product, &bytes);
                assert_eq!(found.is_none(), reserved.contains(&place), "{product:?} byte {place}");
                let set = found.map(|parts| parts.parts().iter().filter(|(_, value)| *value == 7).count());
                assert!(set.is_none_or(|count| count == 1));
            }
        }
        let turin = parts(Product::Turin, &[1, 2, 3, 4, 0, 0, 0, 5]).unwrap();
        assert_eq!(turin, TcbParts { fmc: 1, bootloader: 2, tee: 3, snp: 4, microcode: 5 });
        let milan = parts(Product::Milan, &[1, 2, 0, 0, 0, 0, 3, 4]).unwrap();
        assert_eq!(milan, TcbParts { fmc: 0, bootloader: 1, tee: 2, snp: 3, microcode: 4 });
    }
}

"""The phones of TIMIT, their folding to 39 classes, and the speakers of its standard parts."""

# Lee and Hon 1989, IEEE Trans. ASSP 37: phones on the right count as the class on the left.
_FOLDED = {
    "aa": "ao",
    "ah": "ax ax-h",
    "er": "axr",
    "hh": "hv",
    "ih": "ix",
    "l": "el",
    "m": "em",
    "n": "en nx",
    "ng": "eng",
    "sh": "zh",
    "uw": "ux",
    "sil": "pcl tcl kcl bcl dcl gcl h# pau epi",
}
_UNFOLDED = "ae aw ay b ch d dh dx eh ey f g iy jh k ow oy p r s t th uh v w y z"

PHONES_39 = tuple(sorted([*_FOLDED, *_UNFOLDED.split()]))
"""The 39 classes that are scored, in alphabetical order."""

FOLD_61_TO_39 = {phone: phone for phone in PHONES_39 if phone != "sil"}
"""Class of each of the 61 phones; the glottal stop q has none (None) and is not scored."""
FOLD_61_TO_39.update({p: c for c, phones in _FOLDED.items() for p in phones.split()})
FOLD_61_TO_39["q"] = None

PHONES_61 = tuple(sorted(FOLD_61_TO_39))
"""The 61 phones of the TIMIT transcriptions, in alphabetical order."""

CORE_TEST_SPEAKERS = frozenset(
    "mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0 mbpm0 mklt0 fnlp0 "
    "mcmj0 mjdh0 fmgd0 mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0".split()
)
"""The 24 speakers of the core test set (192 sentences), from the TIMIT documentation."""

VALIDATION_SPEAKERS = frozenset(
    "faks0 fdac1 fjem0 mgwt0 mjar0 mmdb1 mmdm2 mpdf0 fcmh0 fkms0 mbdg0 mbwm0 mcsh0 fadg0 fdms0 "
    "fedw0 mgjf0 mglb0 mrtk0 mtaa0 mtdt0 mthc0 mwjg0 fnmr0 frew0 fsem0 mbns0 mmjr0 mdls0 mdlf0 "
    "mdvc0 mers0 fmah0 fdrw0 mrcs0 mrjm4 fcal1 mmwh0 fjsj0 majc0 mjsw0 mreb0 fgjd0 fjmg0 mroa0 "
    "mteb0 mjfc0 mrjr0 fmml0 mrws1".split()
)
"""The 50 speakers of the usual validation set (400 sentences), as in Kaldi's recipe."""

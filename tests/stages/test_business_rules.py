import numpy as np

from trident.stages.business_rules import is_among


def test_what_is_among_others_is_found_whatever_their_order():
    rows = np.array([5, -1, 3, 9, 0])
    assert is_among(rows, np.array([9, 3, 3, -1])).tolist() == [False, True, True, True, False]
    assert is_among(rows, np.array([-1])).tolist() == [False, True, False, False, False]

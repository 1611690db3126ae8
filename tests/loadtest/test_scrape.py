from trident_loadtest.scrape import total

PAGE = """# HELP answers Answers.
# TYPE answers counter
answers{release="1"} 3
answers{release="2",model="a \\"b\\", c"} 4
answers_more{release="1"} 100
plain 2.5e1
"""


def test_series_of_one_name_are_added_up():
    assert total(PAGE, "answers") == 7
    assert total(PAGE, "plain") == 25


def test_labels_choose_among_them():
    assert total(PAGE, "answers", release="1") == 3
    assert total(PAGE, "answers", model='a \\"b\\", c') == 4
    assert total(PAGE, "answers", release="3") == total(PAGE, "nothing") == 0

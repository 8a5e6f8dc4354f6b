"""How well pictures are matched: a labelled set, one command that measures, and two peers.

labelled.py      families of pictures: a base, altered copies, and look-alikes that are not it
alterations.py   what makes a copy: re-encodings, sizes, brightness, crops, borders, noise
lettering.py     faces of type        drawings_*.py   one class of pictures each
measure.py       precision and recall, by class and by alteration
peers.py         imagededup and Data-Juicer on the same files
"""

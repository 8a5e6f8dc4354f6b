"""Imports every reader; importing one registers its sources, in this order."""

import cauldron.sources.the_cauldron  # noqa: I001 - the order is that of the mixture's description
import cauldron.sources.cord_v2
import cauldron.sources.lnqa
import cauldron.sources.sharegpt_4o
import cauldron.sources.iiw_400
import cauldron.sources.geo170k
import cauldron.sources.docmatix
import cauldron.sources.text_only  # noqa: F401

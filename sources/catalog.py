"""Imports every reader; importing one registers its sources, in this order."""

import sources.the_cauldron  # noqa: I001 - the order is that of the mixture's description
import sources.cord_v2
import sources.lnqa
import sources.sharegpt_4o
import sources.iiw_400
import sources.geo170k
import sources.docmatix
import sources.text_only  # noqa: F401

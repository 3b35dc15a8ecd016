"""What models cost. The table is the models' own; the names here are for the harness."""

from agents.models.prices import FREE as FREE
from agents.models.prices import LISTED as LISTED
from agents.models.prices import Price as Price
from agents.models.prices import load_prices as load_prices
from agents.models.prices import price_of as price_of

import pandas as pd


class HousePrices:
    row_wise = True  # the answer to a row depends on that row alone

    def predict(self, X, names):
        houses = pd.DataFrame(X, columns=names)
        price = 3_000 * houses["area"] + 20_000 * houses["rooms"]
        return pd.DataFrame({"price": price, "per_room": price / houses["rooms"]})

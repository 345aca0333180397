"""HTTP shared by every route: the strict schema (marshmallow only), problems, the API object, the request guard."""

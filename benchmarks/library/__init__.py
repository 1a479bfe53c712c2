"""How fast the library is, beside timm and Towhee."""

"""How does a correct, slow or faulty endpoint behave?"""

from cauldron.cli import main

main()
